// Makes machine code in memory that becomes executable later, and names it in a perf map or, with the argument "dump", in a
// jitdump. The jitdump names two functions without frame pointers, one after the other at the same address.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// mov rax, rdi; L: sub rax, 1; jnz L; ret
static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x83, 0xe8, 0x01, 0x75, 0xfa, 0xc3};

static uint64_t now(void) {
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000ull + at.tv_nsec;
}

static void load(FILE *dump, void *at, uint64_t index, const char *name) {
	uint32_t head[] = {0, 16 + 40 + strlen(name) + 1 + sizeof code};
	uint64_t body[] = {now(), 0, (uint64_t)at, (uint64_t)at, sizeof code, index};
	fwrite(head, sizeof head, 1, dump);
	fwrite(body, sizeof body, 1, dump);
	fwrite(name, strlen(name) + 1, 1, dump);
	fwrite(code, sizeof code, 1, dump);
	fflush(dump);
}

int main(int argc, char **argv) {
	char name[64];
	if (argc > 1 && strcmp(argv[1], "dump") == 0) {
		snprintf(name, sizeof name, "jit-%d.dump", getpid());
	} else {
		snprintf(name, sizeof name, "/tmp/perf-%d.map", getpid());
	}
	void *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(memory, code, sizeof code);
	mprotect(memory, 4096, PROT_READ | PROT_EXEC);
	void (*run)(uint64_t) = (void (*)(uint64_t))memory;
	FILE *file = fopen(name, "w+");
	if (name[0] == '/') {
		fprintf(file, "%lx %zx spin in memory\n", (long)memory, sizeof code);
		fflush(file);
		run(900000000);
	} else {
		uint32_t head[] = {0x4a695444, 1, 40, 62, 0, getpid()};
		uint64_t rest[] = {now(), 0};
		fwrite(head, sizeof head, 1, file);
		fwrite(rest, sizeof rest, 1, file);
		fflush(file);
		mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(file), 0);
		load(file, memory, 1, "early");
		run(300000000);
		load(file, memory, 2, "late");
		run(900000000);
	}
	return 0;
}
