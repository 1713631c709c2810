// Work does a fixed amount of work, about one second of CPU time. So its CPU time with a sampler can be compared with its CPU
// time without one:
//
//	work mixed     a few goroutines that compute in small leaf functions, hash, and allocate
//	work threads   many threads that pass a token on; the thread with the token computes a little
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"sync"
)

func main() {
	var sum uint64
	switch {
	case len(os.Args) == 2 && os.Args[1] == "mixed":
		sum = mixed()
	case len(os.Args) == 2 && os.Args[1] == "threads":
		sum = threads()
	default:
		fmt.Fprintln(os.Stderr, "usage: work mixed|threads")
		os.Exit(2)
	}
	// The result depends on all of the work, so the compiler cannot remove a part of it.
	if sum == 0 {
		fmt.Fprintln(os.Stderr, "work: the sum is 0")
		os.Exit(1)
	}
}

const (
	goroutines = 4
	rounds     = 640
)

func mixed() uint64 {
	sums := make([]uint64, goroutines)
	var done sync.WaitGroup
	for i := range sums {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			seed := uint64(i) + 1
			for r := 0; r < rounds; r++ {
				seed = compute(seed, 100_000)
				seed ^= digest(seed)
				seed ^= allocate(seed)
			}
			sums[i] = seed
		}(i)
	}
	done.Wait()
	return total(sums)
}

// compute calls a leaf function, like most hot code.
//
//go:noinline
func compute(x uint64, times int) uint64 {
	for i := 0; i < times; i++ {
		x = leaf(x)
	}
	return x
}

//go:noinline
func leaf(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	return x
}

//go:noinline
func digest(x uint64) uint64 {
	var block [32 << 10]byte
	for i := range block {
		block[i] = byte(x >> (i % 8 * 8))
	}
	sum := sha256.Sum256(block[:])
	return uint64(sum[0]) | uint64(sum[1])<<8
}

// allocate fills a map and grows slices, so that the garbage collector has work.
//
//go:noinline
func allocate(x uint64) uint64 {
	words := make(map[uint64][]uint64)
	for i := 0; i < 4000; i++ {
		x = leaf(x)
		key := x % 512
		words[key] = append(words[key], x)
	}
	return uint64(len(words[x%512]))
}

const (
	threadCount = 64
	laps        = 90
)

// threads keeps two threads computing at a time and switches often. At each switch, the kernel removes a sampled event from
// the CPU and adds it again.
func threads() uint64 {
	sums := make([]uint64, threadCount)
	turn := make([]chan struct{}, threadCount)
	for i := range turn {
		turn[i] = make(chan struct{}, 1)
	}
	var done sync.WaitGroup
	for i := range sums {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			runtime.LockOSThread()
			x := uint64(i) + 1
			for lap := 0; lap < laps; lap++ {
				<-turn[i]
				x = compute(x, 100_000)
				turn[(i+1)%threadCount] <- struct{}{}
			}
			sums[i] = x
		}(i)
	}
	// Two tokens keep two CPUs busy.
	turn[0] <- struct{}{}
	turn[threadCount/2] <- struct{}{}
	done.Wait()
	return total(sums)
}

func total(sums []uint64) uint64 {
	var all uint64
	for _, sum := range sums {
		all += sum
	}
	return all
}
