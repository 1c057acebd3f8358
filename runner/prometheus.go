//go:build cgo

package runner

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/glmkit/glmkit/configs"
)

// MetricsServer answers Prometheus, in its text exposition format 0.0.4, with
// the newest step. Its methods may be called from any goroutine.
type MetricsServer struct {
	listener net.Listener
	server   *http.Server
	mu       sync.Mutex
	run      string
	info     StepInfo
}

// ServeMetrics answers GET /metrics on an address host:port; port 0 is any free
// one. Close it.
func ServeMetrics(addr string) (*MetricsServer, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &configs.Error{Field: "--metrics-addr", Msg: err.Error(), Hint: "a free host:port, such as 127.0.0.1:9464"}
	}
	m := &MetricsServer{listener: listener}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", m.answer)
	m.server = &http.Server{Handler: mux}
	go m.server.Serve(listener) // ends with Close
	return m, nil
}

// Addr is the address that is listened on.
func (m *MetricsServer) Addr() string { return m.listener.Addr().String() }

// Observe takes the newest step of a run, by its directory.
func (m *MetricsServer) Observe(run string, i StepInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !i.HasValid && run == m.run { // the newest that was measured
		i.Valid, i.ValidBy, i.HasValid = m.info.Valid, m.info.ValidBy, m.info.HasValid
	}
	m.run, m.info = run, i
}

// Close stops answering.
func (m *MetricsServer) Close() error {
	if err := m.server.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (m *MetricsServer) answer(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	run, i := m.run, m.info
	m.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if run == "" {
		return // no step yet
	}
	gauge := func(name, help string, value float64) {
		fmt.Fprintf(w, "# HELP glmkit_%s %s\n# TYPE glmkit_%s gauge\nglmkit_%s{run=%q} %g\n", name, help, name, name, run, value)
	}
	gauge("step", "Optimizer steps done.", float64(i.Step))
	gauge("steps", "Optimizer steps of the schedule.", float64(i.Total))
	gauge("loss", "Training loss of the step in nats.", i.Loss)
	for _, objective := range Objectives {
		if loss, ok := i.LossBy[objective]; ok {
			gauge("loss_"+objective, "Training loss of the objective in the step in nats per target token.", loss)
		}
	}
	gauge("grad_norm", "Gradient norm before clipping.", i.GradNorm)
	gauge("learning_rate", "Learning rate of the step.", i.LR)
	gauge("tokens", "Tokens read by the model.", float64(i.Tokens))
	gauge("tokens_per_second", "Tokens read per second, of late.", i.TokensPerS)
	gauge("data_wait_ratio", "Share of the time spent waiting for data, of late.", i.DataWait)
	if i.Exchange > 0 {
		gauge("exchange_ratio", "Share of the time spent waiting for other ranks and the network, of late.", i.Exchange)
	}
	if i.MFU > 0 {
		gauge("mfu_ratio", "Model FLOPs utilization: share of the device's peak, of late.", i.MFU)
	}
	if i.Memory > 0 {
		gauge("memory_bytes", "Resident set of the process, or memory taken on the GPU.", float64(i.Memory))
	}
	if i.HasValid {
		gauge("valid_loss", "Newest validation loss in nats per target token.", i.Valid)
		for _, objective := range Objectives {
			if loss, ok := i.ValidBy[objective]; ok {
				gauge("valid_loss_"+objective, "Newest validation loss of the objective in nats per target token.", loss)
			}
		}
	}
}
