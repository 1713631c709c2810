// Gosym prints how Go's debug/gosym symbolises a file. "gosym FILE START END STEP" prints a line for each STEPth address
// whose answer differs from the answer before. The format is that of inside/oracle.go, with a single frame: name and entry
// of the physical function, and the innermost line.
package main

import (
	"bufio"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"log"
	"os"
)

func main() {
	var start, end, step uint64
	if n, err := fmt.Sscan(os.Args[2]+" "+os.Args[3]+" "+os.Args[4], &start, &end, &step); n != 3 {
		log.Fatal(err)
	}
	file, err := elf.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	section := file.Section(".gopclntab")
	if section == nil {
		section = file.Section(".data.rel.ro.gopclntab")
	}
	data, err := section.Data()
	if err != nil {
		log.Fatal(err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, start))
	if err != nil {
		log.Fatal(err)
	}
	out := bufio.NewWriter(os.Stdout)
	last := ""
	for pc := start; pc < end; pc += step {
		file, line, function := table.PCToLine(pc)
		if function == nil {
			continue
		}
		// The line is -1 in padding, and below -1 in functions without a line table, for which gosym reads a wrong table.
		if line < 0 {
			file, line = "?", 0
		}
		if answer := fmt.Sprintf("\x1e%s\x1f%s\x1f%d\x1f0\x1f%x", function.Name, file, line, function.Entry); answer != last {
			fmt.Fprintf(out, "%x%s\n", pc, answer)
			last = answer
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
