module example.com/gcpressure

go 1.21
