module example.com/ws/textlib

go 1.26
