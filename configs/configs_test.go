package configs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every preset loads, is valid, and survives being written and read again.
func TestPresets(t *testing.T) {
	for _, name := range append(Presets(), "") {
		t.Run(name, func(t *testing.T) {
			c, err := Load(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := c.YAML()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
			again, err := Load(path, nil)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if diff := cmp.Diff(c, again); diff != "" {
				t.Errorf("written and read again (-first +again):\n%s", diff)
			}
		})
	}
}
