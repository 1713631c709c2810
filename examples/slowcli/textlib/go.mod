module example.com/slowcli/textlib

go 1.21
