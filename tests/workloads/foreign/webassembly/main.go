// Webassembly runs a program (guest) with machine code that a WebAssembly runtime generates.
package main

import (
	"context"
	"io"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"goflame.example/foreign/common"
)

func main() {
	guest, err := os.ReadFile("guest.wasm")
	common.Check(err)
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	compiled, err := runtime.CompileModule(ctx, guest)
	common.Check(err)
	config := wazero.NewModuleConfig().WithName("").WithStdout(io.Discard).WithStderr(os.Stderr)
	common.Run(func(int) {
		module, err := runtime.InstantiateModule(ctx, compiled, config)
		common.Check(err)
		common.Check(module.Close(ctx))
	})
}
