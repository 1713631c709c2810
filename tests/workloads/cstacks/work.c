#include <stdlib.h>

#include "_cgo_export.h"
#include "work.h"

// Keeps the compiler from inlining or copying a function.
#define OWN __attribute__((noinline, noclone))

// spin is a leaf without a frame.
OWN uint64_t spin(uint64_t x, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

// middle and plain keep one value across calls. Compilers use rbx for it, so rbp still has Go's frame pointer.
OWN uint64_t middle(uint64_t x)
{
	return spin(x, 20000) + x;
}

OWN uint64_t plain(uint64_t seed)
{
	return middle(seed | 1) ^ seed;
}

// descend keeps more values across its call than there are callee-saved registers, so it uses rbp too.
OWN uint64_t descend(int depth, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	if (depth == 0)
		return spin(a ^ b | 1, 20000) + c + d + e;
	uint64_t f = a * 3 + b, g = b * 5 + c, h = c * 7 + d, i = d * 9 + e, j = e * 11 + a;
	uint64_t below = descend(depth - 1, f, g, h, i, j);
	return below * f + (below ^ g) * h + (below ^ i) * j + a * b * c;
}

OWN uint64_t recursion(uint64_t seed)
{
	return descend(DEPTH, seed, seed + 1, seed + 2, seed + 3, seed + 4) ^ seed;
}

OWN uint64_t weigh(uint64_t x)
{
	return spin(x | 1, 40) + x;
}

OWN int compare(const void *a, const void *b)
{
	uint64_t x = weigh(*(const uint64_t *)a), y = weigh(*(const uint64_t *)b);
	return (x > y) - (x < y);
}

OWN uint64_t sort(uint64_t seed)
{
	static _Thread_local uint64_t numbers[4096];
	for (int i = 0; i < 4096; i++)
		numbers[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
	qsort(numbers, 4096, sizeof numbers[0], compare);
	return numbers[17];
}

OWN uint64_t visit(uint64_t seed)
{
	uint64_t a = seed * 3, b = seed * 5, c = seed * 7;
	uint64_t back = goWork(seed);
	return back * a + (back ^ b) * c;
}
