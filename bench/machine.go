package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machineKeys are what a report says about where it was made, in order.
var machineKeys = []string{"commit", "glmkit", "processor", "cores", "memory", "system", "load at the start", "load at the end", "node", "python"}

// machine describes this machine; what cannot be found out stays away.
func machine(ctx context.Context, b *bench) map[string]string {
	about := map[string]string{
		"processor":         field("/proc/cpuinfo", "model name"),
		"cores":             fmt.Sprint(len(allowedCPUs())),
		"memory":            memory(),
		"system":            strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`) + ", Linux " + line("/proc/sys/kernel/osrelease"),
		"load at the start": load(),
		"commit":            "unknown",
	}
	ask := func(key, name string, args ...string) {
		if out, err := exec.CommandContext(ctx, name, args...).Output(); err == nil && len(bytes.TrimSpace(out)) > 0 {
			about[key] = strings.TrimSpace(string(out))
		}
	}
	ask("commit", "git", "rev-parse", "--short", "HEAD")
	if out, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(out) > 0 {
		about["commit"] += " with changes"
	}
	ask("glmkit", b.glmkit, "version")
	ask("node", "node", "--version")
	ask("python", b.python, "--version")
	return about
}

// field returns what follows a name and a colon or an equals sign.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for _, l := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(l, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return ""
}

func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func memory() string {
	kB, err := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.1f GB", kB*1024/1e9)
}

// load is the mean number of running programs over the last minute.
func load() string { return strings.Fields(line("/proc/loadavg") + " ")[0] }

// allowedCPUs are the cores that this process may use.
func allowedCPUs() []string {
	var cpus []string
	for _, part := range strings.Split(field("/proc/self/status", "Cpus_allowed_list"), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil {
			return []string{"0"}
		}
		for ; from <= to; from++ {
			cpus = append(cpus, strconv.Itoa(from))
		}
	}
	return cpus
}

// finished is a program that has run.
type finished struct {
	out     []byte
	seconds float64
	peakMB  float64 // largest resident memory, 10^6 bytes
}

// command runs a program on a number of cores and waits for it. Where it
// fails, the error holds the end of what it wrote to standard error.
func command(ctx context.Context, cores int, stdin []byte, name string, args ...string) (finished, error) {
	cpus := allowedCPUs()
	cpus = cpus[:min(cores, len(cpus))]
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", strings.Join(cpus, ","), name}, args...)...)
	// Libraries that do not look at the cores they may use.
	threads := strconv.Itoa(cores)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+threads, "OMP_NUM_THREADS="+threads, "RAYON_NUM_THREADS="+threads)
	var out, problem bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &problem
	start := time.Now()
	err := cmd.Run()
	done := finished{out: out.Bytes(), seconds: time.Since(start).Seconds()}
	if cmd.ProcessState == nil {
		return done, fmt.Errorf("%s: %w", name, err)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		done.peakMB = float64(usage.Maxrss) * 1024 / 1e6
	}
	if err != nil {
		text := strings.TrimSpace(problem.String())
		if len(text) > 600 {
			text = "…" + text[len(text)-600:]
		}
		err = fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return done, err
}

// exitCode is that of the program that err tells about, or -1.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
