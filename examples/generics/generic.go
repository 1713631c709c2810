package main

// Ordered is the constraint of the heap's values.
type Ordered interface {
	~int | ~uint64 | ~float64 | ~string
}

// Fold reduces a slice to one value.
//
//go:noinline
func Fold[T, A any](values []T, start A, step func(A, T) A) A {
	for _, v := range values {
		start = step(start, v)
	}
	return start
}

// Map converts each element.
//
//go:noinline
func Map[T, U any](values []T, convert func(T) U) []U {
	out := make([]U, len(values))
	for i, v := range values {
		out[i] = convert(v)
	}
	return out
}

// folds runs the same generic functions over uint64, float64 and a struct.
//
//go:noinline
func folds(seed uint64) uint64 {
	numbers := make([]uint64, 4096)
	for i := range numbers {
		seed = mix(seed)
		numbers[i] = seed
	}
	type pair struct{ low, high uint32 }
	pairs := Map(numbers, func(n uint64) pair { return pair{uint32(n), uint32(n >> 32)} })
	halves := Map(pairs, func(p pair) float64 { return float64(p.high) / 2 })

	sum := Fold(numbers, uint64(0), func(a, n uint64) uint64 { return a ^ mix(n) })
	mean := Fold(halves, 0.0, func(a, n float64) float64 { return a + n/float64(len(halves)) })
	return sum ^ uint64(mean)
}

// Heap is a binary heap, smallest first.
type Heap[T Ordered] struct {
	values []T
}

// Push adds a value.
//
//go:noinline
func (h *Heap[T]) Push(value T) {
	h.values = append(h.values, value)
	child := len(h.values) - 1
	for child > 0 {
		parent := (child - 1) / 2
		if h.values[parent] <= h.values[child] {
			return
		}
		h.values[parent], h.values[child] = h.values[child], h.values[parent]
		child = parent
	}
}

// Pop removes and returns the smallest value. The heap must not be empty.
//
//go:noinline
func (h *Heap[T]) Pop() T {
	top := h.values[0]
	last := len(h.values) - 1
	h.values[0] = h.values[last]
	h.values = h.values[:last]
	h.sink(0)
	return top
}

func (h *Heap[T]) sink(parent int) {
	for {
		child := 2*parent + 1
		if child >= len(h.values) {
			return
		}
		if child+1 < len(h.values) && h.values[child+1] < h.values[child] {
			child++
		}
		if h.values[parent] <= h.values[child] {
			return
		}
		h.values[parent], h.values[child] = h.values[child], h.values[parent]
		parent = child
	}
}

// heapSort uses two instantiations of Heap.
//
//go:noinline
func heapSort(seed uint64) uint64 {
	var numbers Heap[uint64]
	var words Heap[string]
	for i := 0; i < 512; i++ {
		seed = mix(seed)
		numbers.Push(seed)
		words.Push(string([]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}))
	}
	var sum uint64
	for len(numbers.values) > 0 {
		sum = sum*31 ^ numbers.Pop() ^ uint64(len(words.Pop()))
	}
	return sum
}

// mix is one step of a 64-bit random sequence.
func mix(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}
