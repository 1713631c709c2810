module example.com/slowcli/cli

go 1.21

require example.com/slowcli/textlib v0.0.0
