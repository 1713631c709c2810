package main

import (
	"runtime"
	"sync"
)

func tracer(p *part, budget int64, all *sync.WaitGroup) { spend("main.tracer", p, budget, all, trace) }
func allocator(p *part, budget int64, all *sync.WaitGroup) {
	spend("main.allocator", p, budget, all, allocate)
}
func copier(p *part, budget int64, all *sync.WaitGroup) { spend("main.copier", p, budget, all, copies) }

// trace makes the runtime walk and print a stack. The runtime does that on the thread's own stack.
func trace() uint64 { return deep(20) }

//go:noinline
func deep(levels int) uint64 {
	if levels > 0 {
		return deep(levels-1) + 1
	}
	var text [8 << 10]byte
	return uint64(runtime.Stack(text[:], false))
}

// node has pointers that the garbage collector must follow.
type node struct {
	left, right *node
	_           [6]uint64
}

// allocate makes garbage with pointers, so that the goroutine must help the garbage collector with marking.
func allocate() uint64 { return tree(10).count() }

func tree(levels int) *node {
	if levels == 0 {
		return &node{}
	}
	return &node{left: tree(levels - 1), right: tree(levels - 1)}
}

func (n *node) count() uint64 {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// copies fills slices that are larger than all size classes, so that the heap allocates each of them separately.
func copies() uint64 {
	var from [48 << 10]byte
	to := append([]byte(nil), from[:]...)
	for i := 0; i < 8; i++ {
		to = append([]byte(nil), to...)
		copy(from[:], to)
	}
	return uint64(from[len(to)/2])
}
