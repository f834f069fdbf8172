package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
)

// BenchmarkTick measures the function's process: CPU time of one tick, and the most memory it ever took. The rate is
// not the API's, so that the CPU is that of the work and not of waiting. Run it with
//
//	go test ./internal/e2e -run '^$' -bench Tick -benchtime 5x
func BenchmarkTick(b *testing.B) {
	for _, tt := range []struct {
		in place
		n  int
	}{{inFiles, 10}, {inFiles, 1000}, {inFiles, 10_000}, {byV3, 1000}, {app, 1000}, {appByV3, 1000}} {
		n := tt.n
		b.Run(fmt.Sprintf("%s, load balancers=%d", tt.in, n), func(b *testing.B) {
			l := newLab(b, tt.in)
			var ids []string
			for i := range n {
				lb := fmt.Sprintf("lb-bench%05d", i)
				ids = append(ids, lb)
				if !tt.in.classic() {
					l.cloud.SetApplication(region, lb) // each backend on three rules and listeners
				}
				l.cloud.Bind(region, lb, pool(i, 2)...)
			}
			l.settings["CLB_IDS"], l.settings["CLB_RATE"] = strings.Join(ids, " "), "100000"
			f := l.start(sandbox.WithTimeout(10 * time.Minute))
			step := func(name string, times int, do func(i int)) {
				before := cpu(b, f)
				for i := range times {
					do(i)
					if sum := l.tick(f); sum.Read != n {
						b.Fatalf("%+v", sum)
					}
				}
				b.ReportMetric((cpu(b, f)-before).Seconds()*1000/float64(times), "cpu-ms/"+name)
			}
			step("baseline", 1, func(int) {})
			step("quiet", b.N, func(int) {})
			step("1%-changed", b.N, func(k int) {
				for i := 0; i < n; i += 100 {
					l.cloud.Bind(region, ids[i], pool(i, 2+2*((k+1)%2))[0])
				}
			})
			b.ReportMetric(peak(b, f), "MB-peak")
		})
	}
}

func pool(i, status int) []sandbox.Instance {
	var p []sandbox.Instance
	for j := range 100 {
		in := vm(fmt.Sprintf("%05d-%03d", i, j))
		in.Status = status
		in.LanIP = fmt.Sprintf("10.%d.%d.%d", i/256, i%256, j)
		p = append(p, in)
	}
	return p
}

// cpu is the CPU time that the process has taken.
func cpu(b *testing.B, f *sandbox.Function) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", f.Pid()))
	if err != nil {
		b.Skip("needs /proc: ", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // 100 ticks a second, on every Linux that Go runs on
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that the process ever had, in MB.
func peak(b *testing.B, f *sandbox.Function) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.Pid()))
	if err != nil {
		b.Fatal(err)
	}
	kb, _ := strconv.Atoi(highWater.FindStringSubmatch(string(status))[1])
	return float64(kb) / 1024
}
