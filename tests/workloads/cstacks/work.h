#include <stdint.h>

// How often descend calls itself.
#define DEPTH 5

uint64_t plain(uint64_t seed);
uint64_t recursion(uint64_t seed);
uint64_t sort(uint64_t seed);
uint64_t visit(uint64_t seed);
