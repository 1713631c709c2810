#include "textflag.h"

// func call(code uintptr, n uint64)
TEXT ·call(SB), NOSPLIT, $8-16
	MOVQ code+0(FP), AX
	MOVQ n+8(FP), BX
	CALL AX
	RET

// func jump(code, top uintptr, saved *[2]uintptr, n uint64)
TEXT ·jump(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ code+0(FP), R11
	MOVQ top+8(FP), R13
	MOVQ saved+16(FP), R12
	MOVQ n+24(FP), BX
	// The code uses the register for other values.
	MOVQ R11, R14
	JMP R11
