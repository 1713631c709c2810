package main

import "math"

// counter returns a closure that has its own state.
//
//go:noinline
func counter(step uint64) func() uint64 {
	total := step
	return func() uint64 {
		for i := 0; i < 64; i++ {
			total = mix(total) + step
		}
		return total
	}
}

//go:noinline
func closures(seed uint64) uint64 {
	next := counter(seed)
	var sum uint64
	for i := 0; i < 512; i++ {
		sum ^= next()
	}
	return sum
}

// tally is the receiver of a method value.
type tally struct {
	sum uint64
}

//go:noinline
func (t *tally) add(n uint64) {
	for i := 0; i < 64; i++ {
		n = mix(n)
	}
	t.sum += n
}

// repeat calls a function value. The compiler does not know the called function.
//
//go:noinline
func repeat(times int, call func(uint64)) {
	for i := 0; i < times; i++ {
		call(uint64(i) | 1)
	}
}

//go:noinline
func methodValue(seed uint64) uint64 {
	t := &tally{sum: seed}
	repeat(512, t.add)
	return t.sum
}

// shape is called through its method table.
type shape interface {
	area() float64
}

type circle struct{ radius float64 }

type polygon struct{ radius, sides float64 }

//go:noinline
func (c circle) area() float64 {
	return math.Pi * c.radius * c.radius
}

//go:noinline
func (p *polygon) area() float64 {
	return p.sides / 2 * p.radius * p.radius * math.Sin(2*math.Pi/p.sides)
}

//go:noinline
func interfaces(seed uint64) uint64 {
	shapes := []shape{circle{1}, &polygon{1, 3}, &polygon{2, 6}, circle{float64(seed % 100)}}
	var total float64
	for i := 0; i < 4096; i++ {
		total += shapes[i%len(shapes)].area()
	}
	return uint64(total)
}

// deferred does its work in a deferred closure and in a deferred call with arguments.
//
//go:noinline
func deferred(seed uint64) (sum uint64) {
	t := &tally{sum: seed}
	for i := 0; i < 256; i++ {
		func() {
			defer func() { sum ^= t.sum }()
			defer t.add(uint64(i) | 1)
		}()
	}
	return sum
}

// descend calls itself depth times, and does the work in the last call.
//
//go:noinline
func descend(depth int, seed uint64) uint64 {
	if depth <= 1 {
		return bottom(seed)
	}
	return descend(depth-1, seed) + 1
}

//go:noinline
func bottom(seed uint64) uint64 {
	for i := 0; i < 20_000; i++ {
		seed = mix(seed)
	}
	return seed
}
