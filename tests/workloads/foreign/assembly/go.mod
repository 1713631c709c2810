module goflame.example/foreign/assembly

go 1.25

replace goflame.example/foreign/common => ../common

require (
	github.com/klauspost/compress v1.20.4
	github.com/minio/sha256-simd v1.0.1
	github.com/zeebo/blake3 v0.2.4
	goflame.example/foreign/common v0.0.0-00010101000000-000000000000
	gonum.org/v1/gonum v0.17.0
)

require (
	github.com/klauspost/cpuid/v2 v2.2.3 // indirect
	golang.org/x/sys v0.0.0-20220704084225-05e143d24a9e // indirect
)
