// Crictl is a small stand-in for the program of the same name of cri-tools: the commands that Kubespray calls, over the
// Container Runtime Interface itself. This is the lab's own program, not the Kubernetes project's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Set by the linker.
var version = "unknown"

const (
	settingsFile    = "/etc/crictl.yaml"
	defaultEndpoint = "unix:///run/containerd/containerd.sock"
	defaultTimeout  = 2 * time.Second
	largestMessage  = 16 << 20
)

// Settings come from the file, the environment and the options before the command, the last of which wins.
type settings struct {
	runtime string
	image   string
	timeout time.Duration
}

type client struct {
	runtime cri.RuntimeServiceClient
	image   cri.ImageServiceClient
	timeout time.Duration
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "crictl (stand-in): %s\n", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	given, err := readSettings()
	if err != nil {
		return err
	}
	var wantsVersion, wantsHelp, debug bool
	var file string
	options := newOptions()
	options.text(&given.runtime, "runtime-endpoint", "r")
	options.text(&given.image, "image-endpoint", "i")
	options.text(&file, "config", "c")
	options.duration(&given.timeout, "timeout", "t")
	options.flag(&debug, "debug", "D")
	options.flag(&wantsVersion, "version", "v")
	options.flag(&wantsHelp, "help", "h")
	rest, err := options.parse(words, false)
	if err != nil {
		return err
	}
	if wantsVersion {
		fmt.Printf("crictl version %s (the lab's own stand-in)\n", version)
		return nil
	}
	if wantsHelp || len(rest) == 0 || rest[0] == "help" {
		fmt.Printf("a stand-in for crictl; it knows: %s\n", strings.Join(names(), ", "))
		return nil
	}
	command, known := commands[rest[0]]
	if !known {
		return fmt.Errorf("this stand-in does not know the command %q; it knows: %s", rest[0], strings.Join(names(), ", "))
	}
	return command(given, rest[1:])
}

func readSettings() (settings, error) {
	found := settings{runtime: defaultEndpoint, timeout: defaultTimeout}
	text, err := os.ReadFile(settingsFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return found, err
	}
	// The file is a flat mapping of plain scalars.
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, ":")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch strings.TrimSpace(key) {
		case "runtime-endpoint":
			found.runtime = value
		case "image-endpoint":
			found.image = value
		case "timeout":
			if found.timeout, err = readDuration(value); err != nil {
				return found, fmt.Errorf("%s: %w", settingsFile, err)
			}
		}
	}
	for name, target := range map[string]*string{"CONTAINER_RUNTIME_ENDPOINT": &found.runtime, "IMAGE_SERVICE_ENDPOINT": &found.image} {
		if value := os.Getenv(name); value != "" {
			*target = value
		}
	}
	return found, nil
}

func connect(given settings) (*client, error) {
	dial := func(endpoint string) (*grpc.ClientConn, error) {
		if strings.HasPrefix(endpoint, "/") {
			endpoint = "unix://" + endpoint
		}
		return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)))
	}
	runtime, err := dial(given.runtime)
	if err != nil {
		return nil, err
	}
	image := runtime
	if given.image != "" && given.image != given.runtime {
		if image, err = dial(given.image); err != nil {
			return nil, err
		}
	}
	return &client{cri.NewRuntimeServiceClient(runtime), cri.NewImageServiceClient(image), given.timeout}, nil
}

// With gives a context that ends after the timeout, or later by what the runtime is asked to wait itself.
func (c *client) with(more time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.timeout+more)
}
