// Package sim replays traces through the code that decides in a live cluster.
//
// It has two parts. Openb is the protocol of a published comparison of packing
// policies (single pods, GPU sharing, no departures): what it measures can be laid
// beside published figures. Replay is a discrete-event simulation of gangs that
// arrive, wait, run and leave on a cluster with a topology.
//
// The event loop (replay.go) knows time and bookings, a Scheduler (scheduler.go)
// decides who starts where, and the reports are plain data with units in their
// names. Traces come as io.Reader; the package opens no files, reads no clock, and
// the same seed gives the same result on every machine.
package sim
