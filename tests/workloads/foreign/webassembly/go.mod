module goflame.example/foreign/webassembly

go 1.25.0

replace goflame.example/foreign/common => ../common

require (
	github.com/tetratelabs/wazero v1.12.0
	goflame.example/foreign/common v0.0.0-00010101000000-000000000000
)

require golang.org/x/sys v0.44.0 // indirect
