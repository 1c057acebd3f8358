//go:build cgo

package runner

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// Place says which of the processes that train one model together this one is,
// and where they meet.
type Place struct {
	Rank, Size int // counted from 0; 1 is a process by itself
	Local      int // rank among the processes of this machine
	LocalSize  int // processes of this machine; 0: not known
	Host       string
	Port       int // where rank 0 listens
}

// defaultPort is torchrun's.
const defaultPort = 29500

// PlaceFromEnv reads the environment that torchrun sets (RANK, WORLD_SIZE,
// LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), and where RANK and
// WORLD_SIZE are absent, that of a task of Slurm's srun. Without either it is a
// process by itself. Where torchrun keeps MASTER_PORT to itself
// (TORCHELASTIC_USE_AGENT_STORE), all ranks derive another port from it. A value that
// makes no sense is a *configs.Error.
func PlaceFromEnv(getenv func(string) string) (Place, error) {
	alone := Place{Size: 1}
	e := rankNumbers{getenv: getenv}
	rank, size, local := "RANK", "WORLD_SIZE", "LOCAL_RANK"
	slurm := false
	if getenv(rank) == "" && getenv(size) == "" {
		// Only srun sets the number of a step's tasks: within a batch script
		// itself there is a SLURM_PROCID too, but no others.
		if getenv("SLURM_PROCID") == "" || getenv("SLURM_STEP_NUM_TASKS") == "" && getenv("SLURM_STEP_ID") == "" {
			return alone, nil
		}
		rank, size, local, slurm = "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", true
		if getenv("SLURM_STEP_NUM_TASKS") != "" {
			size = "SLURM_STEP_NUM_TASKS"
		}
	}
	p := Place{Size: e.number(size, "", 1, 1<<20)}
	p.Rank = e.number(rank, "", 0, p.Size-1)
	p.Local = e.number(local, "0", 0, 1<<20)
	p.LocalSize = e.number("LOCAL_WORLD_SIZE", "0", 0, 1<<20)
	if e.failed != nil || p.Size == 1 {
		return p, e.failed
	}
	p.Host = getenv("MASTER_ADDR")
	port := defaultPort
	if slurm {
		if p.Host == "" {
			p.Host = slurmHost(getenv)
		}
		port = portOf(getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"))
	}
	if p.Host == "" {
		return p, &configs.Error{Field: "MASTER_ADDR", Msg: fmt.Sprintf("is not set, and %s is %d", size, p.Size), Hint: "MASTER_ADDR=name or address of rank 0's machine; 127.0.0.1 where all ranks are on one"}
	}
	p.Port = e.number("MASTER_PORT", strconv.Itoa(port), 1, 65535)
	if getenv("TORCHELASTIC_USE_AGENT_STORE") == "True" {
		// torchrun itself listens there, in words that differ between libtorch's versions.
		p.Port = portOf(strconv.Itoa(p.Port), getenv("TORCHELASTIC_RUN_ID"), getenv("TORCHELASTIC_RESTART_COUNT"))
	}
	return p, e.failed
}

// portOf is a port for the processes of which the words are true: jobs that share a
// machine must not meet at one.
func portOf(words ...string) int {
	return 20000 + int(crc32.ChecksumIEEE([]byte(strings.Join(words, ".")))%10000)
}

// rankNumbers reads numbers of the environment and keeps the first complaint.
type rankNumbers struct {
	getenv func(string) string
	failed error
}

func (e *rankNumbers) number(name, absent string, least, most int) int {
	text := e.getenv(name)
	if text == "" {
		text = absent
	}
	n, err := strconv.Atoi(text)
	if e.failed == nil && (err != nil || n < least || n > most) {
		msg := fmt.Sprintf("%q is not a number from %d to %d", text, least, most)
		if text == "" {
			msg = "is not set"
		}
		e.failed = &configs.Error{Field: name, Msg: msg, Hint: "RANK=0…N-1, WORLD_SIZE=N, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as torchrun sets them; unset RANK and WORLD_SIZE for a process by itself"}
	}
	return n
}

// slurmHost is the first node of a step, where rank 0 is.
func slurmHost(getenv func(string) string) string {
	if getenv("SLURM_STEP_NUM_NODES") == "1" {
		return "127.0.0.1"
	}
	list := getenv("SLURM_STEP_NODELIST")
	if list == "" {
		list = getenv("SLURM_JOB_NODELIST")
	}
	// node[07-09,12]-ib,other: the prefix and the first number of the brackets.
	head, rest, bracket := strings.Cut(list, "[")
	if comma := strings.IndexByte(head, ','); comma >= 0 {
		return head[:comma]
	}
	if !bracket {
		return head
	}
	numbers, tail, _ := strings.Cut(rest, "]")
	tail, _, _ = strings.Cut(tail, ",")
	if end := strings.IndexAny(numbers, ",-"); end >= 0 {
		numbers = numbers[:end]
	}
	return head + numbers + tail
}
