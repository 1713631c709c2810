module example.com/ws/cli

go 1.26

require example.com/ws/textlib v0.0.0
