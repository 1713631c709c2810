// Wrappers calls methods that the compiler generates: for promoted methods, and for methods of values that are called through
// an interface. The loads in these methods miss the CPU cache.
package main

import (
	"flag"
	"fmt"
)

type getter interface{ Get() int }

type base struct {
	v   int
	pad [200]byte
}

func (b *base) Get() int { return b.v }

type outer struct {
	*base
	pad [300]byte
}

// record is a value of 4 kB. The method that the compiler generates for its pointer copies the value.
type record [512]int

//go:noinline
func (r record) Get() int { return r[7] }

//go:noinline
func total(gs []getter, order []int, rounds int) (s int) {
	for i := 0; i < rounds; i++ {
		for _, at := range order {
			s += gs[at].Get()
		}
	}
	return
}

func main() {
	mode := flag.String("mode", "", "what to run")
	flag.Parse()
	n, rounds := 200_000, 60
	if *mode == "value" {
		n, rounds = 5000, 300
	}
	gs, order := make([]getter, n), make([]int, n)
	for i := range gs {
		if *mode == "value" {
			gs[i] = &record{7: i}
		} else {
			gs[i] = &outer{base: &base{v: i}}
		}
		order[i] = i * 7919 % n
	}
	fmt.Println(total(gs, order, rounds))
}
