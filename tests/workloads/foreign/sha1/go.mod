module goflame.example/foreign/sha1

go 1.22

replace goflame.example/foreign/common => ../common

require goflame.example/foreign/common v0.0.0-00010101000000-000000000000
