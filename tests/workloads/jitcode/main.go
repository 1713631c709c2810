// Jitcode makes machine code while it runs, and names it as runtimes do. The argument says how: "map" writes a perf map,
// "deleted" removes the perf map before the end, "dump" writes a jitdump, "nothing" names nothing, "elsewhere" names nothing
// and runs the code on a separate stack.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// call calls the code with n in BX.
func call(code uintptr, n uint64)

// jump jumps to the code with n in BX. The code runs on the stack that ends at top, and saves registers in saved.
func jump(code, top uintptr, saved *[2]uintptr, n uint64)

const turn = 200_000_000

// push rbp; mov rbp, rsp; mov rcx, rbx; L: dec rcx; jnz L; pop rbp; ret
var loop = []byte{0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xd9, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3}

// push rbp; mov rbp, rsp; mov rax, TARGET; call rax; pop rbp; ret
func caller(target uintptr) []byte {
	code := binary.LittleEndian.AppendUint64([]byte{0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8}, uint64(target))
	return append(code, 0xff, 0xd0, 0x5d, 0xc3)
}

// mov [r12], rbp; mov [r12+8], rsp; mov rsp, r13; xor ebp, ebp; mov rax, TARGET; call rax; mov rbp, [r12];
// mov rsp, [r12+8]; ret
func switcher(target uintptr) []byte {
	code := []byte{0x49, 0x89, 0x2c, 0x24, 0x49, 0x89, 0x64, 0x24, 0x08, 0x4c, 0x89, 0xec, 0x31, 0xed, 0x48, 0xb8}
	code = binary.LittleEndian.AppendUint64(code, uint64(target))
	return append(code, 0xff, 0xd0, 0x49, 0x8b, 0x2c, 0x24, 0x49, 0x8b, 0x64, 0x24, 0x08, 0xc3)
}

//go:noinline
func run(code uintptr, n uint64) { call(code, n) }

func main() {
	const access = syscall.PROT_READ | syscall.PROT_WRITE | syscall.PROT_EXEC
	memory, err := syscall.Mmap(-1, 0, 8192, access, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	check(err)
	start := uintptr(unsafe.Pointer(&memory[0]))
	switch mode := os.Args[1]; mode {
	case "dump":
		dump(memory, start)
	case "elsewhere":
		copy(memory[512:], loop)
		copy(memory[1024:], caller(start+512))
		copy(memory[1536:], switcher(start+1024))
		e := &elsewhere{code: start + 1536, top: start + 8192}
		done := make(chan bool)
		go func() { e.worker(); done <- true }()
		<-done
	default:
		inner, outer := start+512, start+1024
		copy(memory[512:], loop)
		copy(memory[1024:], caller(inner))
		name := fmt.Sprintf("/tmp/perf-%d.map", os.Getpid())
		if mode != "nothing" {
			// The second line names code that the third and fourth line replace.
			lines := "no entry\n%x 800 made before\n%x %x made inner;1\x1b[31m\n0x%x %x made outer\n"
			text := fmt.Sprintf(lines, start, inner, len(loop), outer, len(caller(inner)))
			check(os.WriteFile(name, []byte(text), 0o644))
		}
		run(outer, 3*turn)
		if mode == "deleted" {
			time.Sleep(300 * time.Millisecond)
			check(os.Remove(name))
		}
	}
}

// elsewhere runs code on a separate stack.
type elsewhere struct {
	code, top uintptr
	saved     [2]uintptr
}

//go:noinline
func (e *elsewhere) worker() {
	for i := 0; i < 3; i++ {
		e.short()
		e.long()
	}
}

//go:noinline
func (e *elsewhere) short() { e.run(turn) }

//go:noinline
func (e *elsewhere) long() { e.run(3 * turn) }

//go:noinline
func (e *elsewhere) run(n uint64) { jump(e.code, e.top, &e.saved, n) }

// dump runs "first", then "second" at the same address, then "first" again after a move to the next page.
func dump(memory []byte, start uintptr) {
	name := fmt.Sprintf("jit-%d.dump", os.Getpid())
	file, err := os.Create(name)
	check(err)
	write(file, []uint32{0x4a695444, 1, 40, 62, 0, uint32(os.Getpid())}, now(), uint64(0))
	// Mapping the file tells the profiler the file's name.
	_, err = syscall.Mmap(int(file.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE)
	check(err)

	at := uint64(start)
	var lines bytes.Buffer
	write(&lines, at, uint64(2), at, uint32(10), uint32(0), []byte("made.lang\x00"))
	write(&lines, at+7, uint32(11), uint32(0), []byte("\xff\x00"))
	record(file, 2, lines.Bytes())
	load(file, memory, at, 1, "first")
	run(start, turn)
	load(file, memory, at, 2, "second")
	run(start, 3*turn)
	copy(memory[4096:], loop)
	var moved bytes.Buffer
	write(&moved, uint64(0), at+4096, at, at+4096, uint64(len(loop)), uint64(1))
	record(file, 1, moved.Bytes())
	run(start+4096, 2*turn)
	// The last record is cut off, as if the program was killed during the write.
	write(file, uint32(0), uint32(1000), now(), uint64(7))
}

func load(file *os.File, memory []byte, at, index uint64, name string) {
	copy(memory, loop)
	var body bytes.Buffer
	write(&body, uint64(0), at, at, uint64(len(loop)), index, append([]byte(name), 0), loop)
	record(file, 0, body.Bytes())
}

func record(file *os.File, id uint32, body []byte) {
	write(file, id, uint32(16+len(body)), now(), body)
}

func write(out interface{ Write([]byte) (int, error) }, values ...any) {
	for _, value := range values {
		check(binary.Write(out, binary.LittleEndian, value))
	}
}

// now returns the time of CLOCK_MONOTONIC.
func now() uint64 {
	var at syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&at)), 0)
	if errno != 0 {
		panic(errno)
	}
	return uint64(at.Nano())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
