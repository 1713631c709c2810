// Regression does a fixed amount of work in four functions. The argument is the work of the function checksum, in percent.
// It prints a number that depends on all work, so that the compiler cannot remove the work.
package main

import (
	"fmt"
	"os"
	"strconv"
)

//go:noinline
func parse(n int) (x uint64) {
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + uint64(i)
	}
	return x
}

//go:noinline
func checksum(n int) (x uint64) {
	for i := 0; i < n; i++ {
		x = x*31 ^ x>>7 + uint64(i)
	}
	return x
}

//go:noinline
func rank(n int) (x uint64) {
	for i := 0; i < n; i++ {
		x ^= x<<13 ^ uint64(i)*2654435761
	}
	return x
}

//go:noinline
func store(n int) (x uint64) {
	apply(n, func(i int) { x += uint64(i) ^ x>>3 })
	return x
}

//go:noinline
func apply(n int, f func(int)) {
	for i := 0; i < n; i++ {
		f(i)
	}
}

func main() {
	percent, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	var x uint64
	for round := 0; round < 800; round++ {
		x += parse(1_600_000) + checksum(1_000_000*percent/100) + rank(1_000_000) + store(700_000)
	}
	fmt.Println(x)
}
