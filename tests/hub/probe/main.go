// Probe runs inside a build, because go calls its tools through it (go build -toolexec=probe). It writes facts about its
// environment to the directory PROBE_OUT. With PROBE_WAIT, it then delays the build.
package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type facts struct {
	Status     map[string]string // fields of /proc/self/status
	Interfaces []string
	Dial       string // why the network cannot be reached
	Source     string // why the source cannot be written
	Root       string // why the system cannot be written
	Uid, Gid   int
}

func main() {
	out := os.Getenv("PROBE_OUT")
	if file, err := os.OpenFile(filepath.Join(out, "probe.json"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err == nil {
		json.NewEncoder(file).Encode(find())
		file.Close()
	}
	if os.Getenv("PROBE_WAIT") != "" {
		os.WriteFile(filepath.Join(out, "waiting"), nil, 0o644)
		time.Sleep(10 * time.Minute)
	}
	panic(syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

func find() facts {
	found := facts{Status: map[string]string{}, Uid: os.Getuid(), Gid: os.Getgid()}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			found.Status[name] = strings.TrimSpace(value)
		}
	}
	interfaces, _ := net.Interfaces()
	for _, one := range interfaces {
		found.Interfaces = append(found.Interfaces, one.Name)
	}
	_, err := net.DialTimeout("tcp", os.Getenv("PROBE_DIAL"), 3*time.Second)
	found.Dial = reason(err)
	found.Source = reason(os.WriteFile(filepath.Join(os.Getenv("PROBE_SOURCE"), "planted"), nil, 0o644))
	found.Root = reason(os.WriteFile("/planted", nil, 0o644))
	return found
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
