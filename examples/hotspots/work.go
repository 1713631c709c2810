package main

import "math/bits"

// The amount of work per call, chosen so that a release build has shares of about 40, 25, 20, 10 and 5 %.
const (
	matrixSize  = 248
	digestBytes = 1344 << 10
	numberCount = 76_000
	wordCount   = 96_000
	collatzTo   = 8_000
)

var (
	left, right, product [matrixSize][matrixSize]float64

	message [digestBytes]byte

	unsorted, sorted [numberCount]uint32

	text   []byte
	wordID map[string]int
	counts [1 << 10]int

	// sink keeps the compiler from removing work whose result is not used.
	sink uint64
)

// prepare allocates and fills all inputs.
func prepare() {
	for i := range left {
		for j := range left[i] {
			left[i][j] = float64(i*j%7) + 0.5
			right[i][j] = float64((i+j)%11) - 2.5
		}
	}
	random := uint32(2463534242)
	for i := range unsorted {
		random = xorshift(random)
		unsorted[i] = random
	}
	for i := range message {
		random = xorshift(random)
		message[i] = byte(random)
	}
	words := make([]string, len(counts))
	wordID = make(map[string]int, len(counts))
	for i := range words {
		words[i] = word(uint32(i))
		wordID[words[i]] = i
	}
	text = make([]byte, 0, 20*wordCount)
	for i := 0; i < wordCount; i++ {
		random = xorshift(random)
		text = append(text, words[random%uint32(len(words))]...)
		text = append(text, ' ')
	}
}

func xorshift(x uint32) uint32 {
	x ^= x << 13
	x ^= x >> 17
	return x ^ x<<5
}

// word spells a number below 1024 with one syllable for each two of its bits.
func word(n uint32) string {
	syllables := [4]string{"ka", "tori", "s", "menu"}
	var w string
	for i := 0; i < 5; i++ {
		w += syllables[n&3]
		n >>= 2
	}
	return w
}

// multiply computes with floating point numbers in nested loops.
//
//go:noinline
func multiply() {
	for i := range product {
		product[i] = [matrixSize]float64{}
		for k := range right {
			factor := left[i][k]
			for j := range product[i] {
				product[i][j] += factor * right[k][j]
			}
		}
	}
}

var roundConstants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// digest is SHA-256 in plain Go: integer work, with one callee.
//
//go:noinline
func digest() {
	state := [8]uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	}
	for block := 0; block < digestBytes; block += 64 {
		compress(&state, message[block:block+64])
	}
	sink += uint64(state[0])
}

//go:noinline
func compress(state *[8]uint32, block []byte) {
	var w [64]uint32
	for i := 0; i < 16; i++ {
		w[i] = uint32(block[4*i])<<24 | uint32(block[4*i+1])<<16 | uint32(block[4*i+2])<<8 | uint32(block[4*i+3])
	}
	for i := 16; i < 64; i++ {
		s0 := bits.RotateLeft32(w[i-15], -7) ^ bits.RotateLeft32(w[i-15], -18) ^ w[i-15]>>3
		s1 := bits.RotateLeft32(w[i-2], -17) ^ bits.RotateLeft32(w[i-2], -19) ^ w[i-2]>>10
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	a, b, c, d, e, f, g, h := state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
	for i := 0; i < 64; i++ {
		s1 := bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)
		t1 := h + s1 + (e&f ^ ^e&g) + roundConstants[i] + w[i]
		s0 := bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)
		t2 := s0 + (a&b ^ a&c ^ b&c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	state[0] += a
	state[1] += b
	state[2] += c
	state[3] += d
	state[4] += e
	state[5] += f
	state[6] += g
	state[7] += h
}

// sortNumbers calls a recursive function, which a profiler must count only once per stack.
//
//go:noinline
func sortNumbers() {
	sorted = unsorted
	quicksort(sorted[:])
	sink += uint64(sorted[0])
}

//go:noinline
func quicksort(v []uint32) {
	for len(v) > 12 {
		pivot := v[len(v)/2]
		i, j := 0, len(v)-1
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		quicksort(v[:j+1])
		v = v[i:]
	}
	for i := 1; i < len(v); i++ {
		for j := i; j > 0 && v[j] < v[j-1]; j-- {
			v[j], v[j-1] = v[j-1], v[j]
		}
	}
}

// countWords splits a text into words and looks them up in a map: strings, hashing, code of the runtime.
//
//go:noinline
func countWords() {
	start := 0
	for i, b := range text {
		if b == ' ' {
			counts[wordID[string(text[start:i])]]++
			start = i + 1
		}
	}
	sink += uint64(counts[0])
}

// collatz is a leaf without a stack frame: a sampler that follows frame pointers loses its caller, but must not
// lose the function itself.
//
//go:noinline
func collatz() {
	steps := uint64(0)
	for n := uint64(1); n < collatzTo; n++ {
		for x := n; x != 1; steps++ {
			if x&1 == 0 {
				x >>= 1
			} else {
				x = 3*x + 1
			}
		}
	}
	sink += steps
}
