package main

// The preamble of a file that exports functions to C must not define functions, so this C function is in another file.

/*
#include <stddef.h>
#include <stdint.h>

// A bitwise CRC-32: slow on purpose.
static uint32_t crc32_bitwise(const uint8_t *bytes, size_t length) {
	uint32_t crc = 0xffffffff;
	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}
*/
import "C"

import "unsafe"

// checksum computes the CRC-32 of the numbers' bytes with the C code in this file's preamble.
func checksum(numbers []C.int32_t) uint32 {
	bytes := (*C.uint8_t)(unsafe.Pointer(&numbers[0]))
	return uint32(C.crc32_bitwise(bytes, C.size_t(len(numbers))*C.sizeof_int32_t))
}
