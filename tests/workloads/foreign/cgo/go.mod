module goflame.example/foreign/cgo

go 1.25

replace goflame.example/foreign/common => ../common

require (
	github.com/mattn/go-sqlite3 v1.14.53
	goflame.example/foreign/common v0.0.0-00010101000000-000000000000
)
