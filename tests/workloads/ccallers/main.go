// Ccallers calls a C++ function from two Go functions. It takes twice as long for the first caller.
package main

// unsigned long compute(unsigned long n);
import "C"

import (
	"fmt"
	"time"
)

//go:noinline
func first(n int) uint64 { return uint64(C.compute(C.ulong(2 * n))) }

//go:noinline
func second(n int) uint64 { return uint64(C.compute(C.ulong(n))) }

func main() {
	var sum uint64
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		sum += first(1_000_000) + second(1_000_000)
	}
	fmt.Println(sum)
}
