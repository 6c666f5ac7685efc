// A stand-in for NVIDIA's dcgm-exporter, in the operator's slot for it. It serves some of the exporter's metrics under
// their names and labels, read from the driver's management library: there is no DCGM here. This is the lab's own program.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Set by the linker.
var version = "unknown"

func main() {
	for _, argument := range os.Args[1:] {
		if argument == "--version" || argument == "-v" {
			fmt.Printf("dcgm-exporter %s (the lab's own stand-in)\n", version)
			return
		}
	}
	log.Printf("a stand-in for dcgm-exporter %s: it reads NVML, and there is no DCGM", version)
	if result := nvml.Init(); result != nvml.SUCCESS {
		log.Fatalf("the driver's management library does not start: %s", nvml.ErrorString(result))
	}
	faults := newFaults()
	go faults.watch()

	listen := os.Getenv("DCGM_EXPORTER_LISTEN")
	if listen == "" {
		listen = ":9400"
	}
	http.HandleFunc("/metrics", func(to http.ResponseWriter, request *http.Request) {
		gpus, err := readGPUs(faults)
		if err != nil {
			log.Print(err)
			http.Error(to, err.Error(), http.StatusInternalServerError)
			return
		}
		var users map[string][]user
		if os.Getenv("DCGM_EXPORTER_KUBERNETES") == "true" {
			// Metrics without the names of pods are better than none.
			if users, err = podsByGPU(request.Context()); err != nil {
				log.Print(err)
			}
		}
		to.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(to, text(gpus, users, os.Getenv("NODE_NAME")))
	})
	server := &http.Server{Addr: listen, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
