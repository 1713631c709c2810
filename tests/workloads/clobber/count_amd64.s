#include "textflag.h"
#include "funcdata.h"

// func count(n uint64) uint64
TEXT ·count(SB), 0, $3000-16
	NO_LOCAL_POINTERS
	MOVQ n+0(FP), CX
	MOVQ CX, AX
	XORQ BP, BP
loop:
	ADDQ AX, BP
	DECQ CX
	JNZ  loop
	MOVQ BP, ret+8(FP)
	RET
