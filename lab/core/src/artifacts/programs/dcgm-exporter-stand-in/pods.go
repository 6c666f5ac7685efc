package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// Where the operator mounts the kubelet's own folder.
const podResources = "unix:///var/lib/kubelet/pod-resources/kubelet.sock"

// A container that has a GPU.
type user struct {
	namespace, pod, container string
}

// Who has which GPU, by its UUID, as the kubelet says.
func podsByGPU(ctx context.Context) (map[string][]user, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	connection, err := grpc.NewClient(podResources, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("cannot ask the kubelet who has which GPU: %w", err)
	}
	defer connection.Close()
	answer, err := podresources.NewPodResourcesListerClient(connection).List(ctx, &podresources.ListPodResourcesRequest{})
	if err != nil {
		return nil, fmt.Errorf("the kubelet does not say who has which GPU: %w", err)
	}
	users := map[string][]user{}
	for _, pod := range answer.GetPodResources() {
		for _, container := range pod.GetContainers() {
			for _, devices := range container.GetDevices() {
				if !strings.HasPrefix(devices.GetResourceName(), "nvidia.com/") {
					continue
				}
				for _, id := range devices.GetDeviceIds() {
					// A time slice is `UUID::1`.
					uuid, _, _ := strings.Cut(id, "::")
					who := user{pod.GetNamespace(), pod.GetName(), container.GetName()}
					// A container with two slices of a GPU has it once.
					if !slices.Contains(users[uuid], who) {
						users[uuid] = append(users[uuid], who)
					}
				}
			}
		}
	}
	return users, nil
}
