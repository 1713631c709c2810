package main

import (
	"crypto/sha256"
	_ "unsafe" // for go:linkname
)

// expand adds the addresses of the calls into which the last address is inlined. runtime/pprof uses this function.
//
//go:linkname expand runtime/pprof.runtime_expandFinalInlineFrame
func expand([]uintptr) []uintptr

// block has a size that is copied with duffcopy.
type block [96]uint64

var (
	message     [1 << 16]byte
	from, to    [1 << 16]byte
	blocks      [64]block
	table       = map[string]int{"alpha": 1, "beta": 2, "gamma": 3, "delta": 4}
	words       = [...]string{"alpha", "beta", "gamma", "delta", "epsilon"}
	allocations [][]byte
)

// assembly spends its time in functions that are written in assembly, and in their callers.
func assembly() {
	sum := sha256.Sum256(message[:])
	message[0] = sum[0]
	for i := 0; i < 64; i++ {
		copy(to[i:], from[:])
		clear(from[:])
	}
	for i := range blocks {
		for j := 0; j < 64; j++ {
			sink += duff(blocks[i], uint64(j))
		}
	}
	for i := 0; i < 1<<12; i++ {
		sink += uint64(table[words[i%len(words)]])
	}
	allocations = append(allocations[:0], make([]byte, 1<<12))
}

//go:noinline
func duff(b block, at uint64) uint64 { return b[at] + at }
