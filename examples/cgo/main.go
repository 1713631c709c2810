// Cgo mixes Go and C on one stack, in both directions. Go calls C functions (a Mandelbrot set in mandelbrot.c,
// a checksum in the preamble of checksum.go), and a C function (a sort in sort.c) calls Go to compare numbers.
//
// Optimising C compilers use the frame pointer register for other values, so a callchain that follows frame
// pointers ends in the C code. The #cgo line below keeps the frame pointers.
package main

/*
#cgo CFLAGS: -O2 -g -fno-omit-frame-pointer
#include "work.h"
*/
import "C"

import (
	"flag"
	"fmt"
	"time"
	"unsafe"
)

func main() {
	duration := flag.Duration("duration", 3*time.Second, "how long to compute")
	flag.Parse()

	var rounds, inside int
	var sum uint32
	numbers := make([]C.int32_t, 1024)
	for until := time.Now().Add(*duration); time.Now().Before(until); rounds++ {
		inside += mandelbrot(108, 72)
		sum = sum*31 + fill(numbers, uint32(rounds))
		sortInC(numbers)
		sum = sum*31 + checksum(numbers)
	}
	fmt.Printf("%d rounds, %d points inside, checksum %08x\n", rounds, inside, sum)
}

// mandelbrot counts the points of a grid that belong to the set, in C.
func mandelbrot(width, height int) int {
	return int(C.mandelbrot_inside(C.int(width), C.int(height), 200))
}

// fill writes random numbers, in Go.
func fill(numbers []C.int32_t, seed uint32) uint32 {
	x := seed | 1
	for i := range numbers {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		numbers[i] = C.int32_t(x)
	}
	return x
}

// sortInC sorts in C, with goCompare for each comparison.
func sortInC(numbers []C.int32_t) {
	C.sort_with_go((*C.int32_t)(unsafe.Pointer(&numbers[0])), C.size_t(len(numbers)))
	for i := 1; i < len(numbers); i++ {
		if numbers[i-1] > numbers[i] {
			panic("sort_with_go left the numbers unsorted")
		}
	}
}

// goCompare is called from C.
//
//export goCompare
func goCompare(a, b C.int32_t) C.int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
