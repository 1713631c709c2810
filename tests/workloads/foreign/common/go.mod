module goflame.example/foreign/common

go 1.22
