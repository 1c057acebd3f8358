package main

import (
	"debug/elf"
	"runtime"
)

// machine and machineName are this program's architecture in ELF files and in
// the names of multiarch folders; libtorch's must be the same.
var machine, machineName = architecture(runtime.GOARCH)

func architecture(goarch string) (elf.Machine, string) {
	switch goarch {
	case "amd64":
		return elf.EM_X86_64, "x86_64"
	case "arm64":
		return elf.EM_AARCH64, "aarch64"
	}
	return elf.EM_NONE, goarch
}
