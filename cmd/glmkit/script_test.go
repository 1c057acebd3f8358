package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// update rewrites the files that a script's cmp compares with.
var update = flag.Bool("update", false, "rewrite the golden files inside testdata/script/*.txtar")

// TestMain lets the scripts run this very test binary as the command glmkit.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"glmkit": main})
}

// TestScript runs every testdata/script/*.txtar. Beside testscript's own
// language (go doc github.com/rogpeppe/go-internal/testscript) a script has
//
//	exits CODE COMMAND [ARG...]   the command must end with exactly this exit code
//	[cgo]                         true where this binary has libtorch
//	[oracle] [data]               true where $GLMKIT_ORACLE, $GLMKIT_DATA are folders
//	$GLMKIT_ORACLE $GLMKIT_DATA   absolute paths of the reference vectors and real data
//
// A command of a binary with libtorch needs half a second to start, one without a
// fiftieth of that. So a script in which no model works skips where it is [cgo]:
// make test runs the tests of both binaries.
func TestScript(t *testing.T) {
	t.Parallel() // beside the tests that wait for processes
	folders := map[string]string{
		"oracle": sharedFolder(t, "GLMKIT_ORACLE", "../shared/oracle"),
		"data":   sharedFolder(t, "GLMKIT_DATA", "../shared/data"),
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GLMKIT_ORACLE", folders["oracle"])
			env.Setenv("GLMKIT_DATA", folders["data"])
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache")) // there is no home
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "cgo" {
				return builtWithCgo()
			}
			if dir, ok := folders[name]; ok {
				info, err := os.Stat(dir)
				return err == nil && info.IsDir(), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// mustDo runs a command line in this process, and returns what it printed.
func mustDo(t *testing.T, args ...string) (printed string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), args, streams{nil, &stdout, &stderr}); code != exitOK {
		t.Fatalf("glmkit %s: exit code %d\n%s", strings.Join(args, " "), code, stderr.Bytes())
	}
	return stdout.String()
}

// exits is the script command that checks an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %q is not an exit code", args[0])
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("exits: running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s ended with exit code %d, want %d", args[1], got, want)
	}
}

// sharedFolder is the folder that the variable names, else def below the
// module's root.
func sharedFolder(t *testing.T, variable, def string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		dir = filepath.Join("..", "..", def)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// builtWithCgo asks the binary itself: the environment of the test run may
// differ from that of the build.
func builtWithCgo() (bool, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false, errors.New("this test binary carries no build information")
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" {
			return s.Value == "1", nil
		}
	}
	return false, errors.New("the build information has no CGO_ENABLED")
}
