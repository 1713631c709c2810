// Compare prints a row of figures about a run of goflame, and compares it with the profile that the program wrote itself
// by runtime/pprof.
//
//	compare NAME RUN PROFILE
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// markers are the functions that only one of the two profilers can show. In runtime/pprof, systemstack_switch stands for
// C code below a callback, asyncPreempt for code that was sampled and preempted in the same tick, and _ExternalCode for
// code without a Go function.
var markers = regexp.MustCompile(`^runtime\.(_\w+|asyncPreempt|systemstack_switch)$`)

// unseen are the functions that runtime/pprof cannot sample: a thread without a P has no timer, and the signal is blocked in
// its handler.
const unseen = `^runtime\.(sysmon|sigtramp)$`

// workers matches the function that calls all work.
const workers = `^goflame\.example/foreign/common\.repeat$`

// A summary has the fields of summary.json that are read.
type summary struct {
	Quality struct {
		Figures struct {
			Samples           float64         `json:"samples"`
			UserStacks        float64         `json:"user_stacks"`
			RootedStacks      float64         `json:"rooted_stacks"`
			UserFrames        float64         `json:"user_frames"`
			UnnamedUserFrames float64         `json:"unnamed_user_frames"`
			UnnamedReasons    [][]interface{} `json:"unnamed_reasons"`
			GoroutineSamples  float64         `json:"goroutine_samples"`
			UnknownGoroutines float64         `json:"unknown_goroutines"`
		} `json:"figures"`
	} `json:"quality"`
}

// A difference has the cumulative shares of a function in two profiles, in percent.
type difference struct {
	function         string
	goflame, runtime float64
	standardError    float64
}

func (d difference) points() float64 { return math.Abs(d.goflame - d.runtime) }

func main() {
	name, run, runtimeProfile := os.Args[1], os.Args[2], os.Args[3]
	var read summary
	text, err := os.ReadFile(filepath.Join(run, "summary.json"))
	check(err)
	check(json.Unmarshal(text, &read))
	figures := read.Quality.Figures
	text, err = os.ReadFile(filepath.Join(run, "stdout.log"))
	check(err)
	largest, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	check(err)

	profile := filepath.Join(run, "profile.pb.gz")
	differences := compare(profile, runtimeProfile)
	worst, worstOfWorkers := differences[0], compare(profile, runtimeProfile, "-focus="+workers)[0]
	generated := 0.0
	for _, reason := range figures.UnnamedReasons {
		if reason[0] == "the code is in no file" {
			generated += reason[1].(float64)
		}
	}
	fmt.Printf("%-12s %7.0f %8.2f %8.2f %9.2f %6.2f ±%.2f %6.2f ±%.2f %9.1f %10d  %s\n", name, figures.Samples,
		100-percent(figures.RootedStacks, figures.UserStacks),
		percent(figures.UnnamedUserFrames-generated, figures.UserFrames), percent(generated, figures.UserFrames),
		worst.points(), worst.standardError, worstOfWorkers.points(), worstOfWorkers.standardError,
		100-percent(figures.UnknownGoroutines, figures.GoroutineSamples), impossible(profile, largest), worstOfWorkers.function)
	if os.Getenv("ALL") != "" {
		for _, d := range differences {
			fmt.Printf("  %6.2f %6.2f ±%.2f %s\n", d.goflame, d.runtime, d.standardError, d.function)
		}
	}
}

func percent(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}

// compare returns the differences of all functions of the second profile, the largest first.
func compare(profile, runtimeProfile string, filter ...string) []difference {
	goflame, samples := shares(profile, filter)
	runtime, runtimeSamples := shares(runtimeProfile, filter)
	var differences []difference
	for function, share := range runtime {
		p := share / 100
		standardError := 100 * math.Sqrt(p*(1-p)*(1/samples+1/runtimeSamples))
		differences = append(differences, difference{function, goflame[function], share, standardError})
	}
	sort.Slice(differences, func(i, j int) bool { return differences[i].points() > differences[j].points() })
	return differences
}

// shares returns the cumulative share of each function in percent, and the number of samples.
func shares(profile string, filter []string) (map[string]float64, float64) {
	shares, total := map[string]float64{}, 0.0
	args := append(filter, "-top", "-cum", "-nodecount=1000000", "-nodefraction=0", "-ignore="+unseen,
		"-relative_percentages", profile)
	for _, line := range pprof(args...) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "Showing nodes accounting for") {
			var err error
			total, err = strconv.ParseFloat(fields[len(fields)-2], 64)
			check(err)
		}
		if len(fields) < 6 || !strings.HasSuffix(fields[4], "%") {
			continue
		}
		samples, err := strconv.ParseFloat(fields[3], 64)
		check(err)
		function := strings.TrimSuffix(strings.Join(fields[5:], " "), " (inline)")
		if !markers.MatchString(function) {
			shares[function] = percent(samples, total)
		}
	}
	return shares, total
}

// impossible returns the number of samples with a goroutine id larger than `largest`, which no goroutine has had.
func impossible(profile string, largest uint64) int {
	count, inGoroutines := 0, false
	for _, line := range pprof("-tags", profile) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(line, ": Total "):
			inGoroutines = fields[0] == "goroutine:"
		case inGoroutines && len(fields) > 2:
			id, err := strconv.ParseUint(fields[len(fields)-1], 10, 64)
			if err != nil || id == 0 || id > largest {
				samples, err := strconv.Atoi(fields[0])
				check(err)
				count += samples
			}
		}
	}
	return count
}

// pprof returns the lines that go tool pprof prints for the first sample type, the number of samples.
func pprof(args ...string) []string {
	out, err := exec.Command("go", append([]string{"tool", "pprof", "-sample_index=0"}, args...)...).Output()
	check(err)
	return strings.Split(string(out), "\n")
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
