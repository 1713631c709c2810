#include "textflag.h"

// func call(code uintptr, n uint64)
TEXT ·call(SB), NOSPLIT, $8-16
	MOVQ code+0(FP), AX
	MOVQ n+8(FP), BX
	CALL AX
	RET
