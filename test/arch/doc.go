// Package arch holds the tests of the project's shape: which package may import
// which, what the pure packages may not touch, and what no file may say. Each
// rule carries its reason, because a rule without one is the first to be broken.
package arch
