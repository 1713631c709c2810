// Assembly that uses R14 and the frame pointer register for data. ABI0 permits that.

#include "textflag.h"

// func spin(p *[512]uint64, n int)
TEXT ·spin(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), R14
	MOVQ n+8(FP), CX
loop:
	ADDQ (R14), AX
	DECQ CX
	JNZ  loop
	RET

// func walk(table *uint64, length, rounds int) uint64
TEXT ·walk(SB), NOSPLIT, $40-32
	MOVQ rounds+16(FP), BX
	XORQ AX, AX
again:
	MOVQ table+0(FP), R14
	MOVQ length+8(FP), CX
next:
	XORQ (R14), AX
	ROLQ $7, AX
	ADDQ $8, R14
	DECQ CX
	JNZ  next
	DECQ BX
	JNZ  again
	MOVQ AX, ret+24(FP)
	RET

// circle makes a frame pointer that leads to itself, with a return address that is not code.
// func circle(n int)
TEXT ·circle(SB), NOSPLIT, $48-8
	MOVQ n+0(FP), CX
	MOVQ BP, 24(SP)
	LEAQ 0(SP), AX
	MOVQ AX, 0(SP)
	MOVQ $0x77777, 8(SP)
	MOVQ AX, BP
turn:
	DECQ CX
	JNZ  turn
	MOVQ 24(SP), BP
	RET

// pair makes two frame pointers that lead to each other, with return addresses in code.
// func pair(n int)
TEXT ·pair(SB), NOSPLIT, $48-8
	MOVQ n+0(FP), CX
	MOVQ BP, 32(SP)
	LEAQ 0(SP), AX
	LEAQ 16(SP), DX
	MOVQ DX, 0(SP)
	MOVQ AX, 16(SP)
	LEAQ ·spin(SB), SI
	MOVQ SI, 8(SP)
	LEAQ ·walk(SB), SI
	MOVQ SI, 24(SP)
	MOVQ AX, BP
turn:
	DECQ CX
	JNZ  turn
	MOVQ 32(SP), BP
	RET
