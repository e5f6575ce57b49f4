// Package topology owns the tree of domains in which nodes stand: the cluster,
// its zones, their blocks, their racks, and the nodes themselves as leaves.
//
// The levels are given from the widest to the narrowest, each by the node label
// that names a node's domain there. A domain's identity is its whole path, so
// "rack-1" under two blocks is two domains. A node that lacks a level's label
// stands in a domain of its own at that level: nothing is known about its
// neighbours, so nothing is promised.
//
// Levels that nobody configured are found on the nodes by the conventions of
// clouds and tools (Discover), and Validate says where the labels of a cluster do
// not make the tree that was meant.
//
// The package knows neither free capacity nor gangs.
package topology
