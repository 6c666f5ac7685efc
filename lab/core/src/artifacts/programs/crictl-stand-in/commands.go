package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var commands map[string]func(settings, []string) error

func init() {
	commands = map[string]func(settings, []string) error{
		"completion": completion,
		"images":     images,
		"info":       info,
		"pods":       pods,
		"ps":         containers,
		"pull":       pull,
		"rm":         removeContainers,
		"rmp":        removePods,
		"stop":       stopContainers,
		"stopp":      stopPods,
		"version":    runtimeVersion,
	}
}

func names() []string {
	var all []string
	for name := range commands {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func completion(_ settings, _ []string) error {
	fmt.Printf("# the lab's own stand-in for crictl\ncomplete -W %q crictl\n", strings.Join(names(), " "))
	return nil
}

func runtimeVersion(given settings, _ []string) error {
	c, err := connect(given)
	if err != nil {
		return err
	}
	ctx, done := c.with(0)
	defer done()
	says, err := c.runtime.Version(ctx, &cri.VersionRequest{})
	if err != nil {
		return err
	}
	fmt.Printf("Version:  %s\nRuntimeName:  %s\nRuntimeVersion:  %s\nRuntimeApiVersion:  %s\n",
		says.Version, says.RuntimeName, says.RuntimeVersion, says.RuntimeApiVersion)
	return nil
}

func info(given settings, _ []string) error {
	c, err := connect(given)
	if err != nil {
		return err
	}
	ctx, done := c.with(0)
	defer done()
	says, err := c.runtime.Status(ctx, &cri.StatusRequest{Verbose: true})
	if err != nil {
		return err
	}
	for _, condition := range says.GetStatus().GetConditions() {
		fmt.Printf("%s: %t %s %s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return nil
}

func pods(given settings, words []string) error {
	var quiet bool
	var name, namespace, id, state string
	options := newOptions()
	options.flag(&quiet, "quiet", "q")
	options.text(&name, "name")
	options.text(&namespace, "namespace")
	options.text(&id, "id")
	options.text(&state, "state", "s")
	if _, err := options.parse(words, true); err != nil {
		return err
	}
	// Both are regular expressions that may match anywhere, as they are for crictl.
	ofName, err := regexp.Compile(name)
	if err != nil {
		return err
	}
	ofNamespace, err := regexp.Compile(namespace)
	if err != nil {
		return err
	}
	c, err := connect(given)
	if err != nil {
		return err
	}
	ctx, done := c.with(0)
	defer done()
	listed, err := c.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{Id: id}})
	if err != nil {
		return err
	}
	return table(quiet, "POD ID\tSTATE\tNAME\tNAMESPACE\tATTEMPT", func(row func(string, string)) {
		for _, pod := range listed.Items {
			short := strings.ToLower(strings.TrimPrefix(pod.State.String(), "SANDBOX_"))
			if !ofName.MatchString(pod.Metadata.Name) || !ofNamespace.MatchString(pod.Metadata.Namespace) ||
				state != "" && !strings.EqualFold(state, short) {
				continue
			}
			row(pod.Id, fmt.Sprintf("%s\t%s\t%s\t%d", short, pod.Metadata.Name, pod.Metadata.Namespace, pod.Metadata.Attempt))
		}
	})
}

func containers(given settings, words []string) error {
	var quiet, all bool
	var name, pod string
	options := newOptions()
	options.flag(&quiet, "quiet", "q")
	options.flag(&all, "all", "a")
	options.text(&name, "name")
	options.text(&pod, "pod", "p")
	if _, err := options.parse(words, true); err != nil {
		return err
	}
	ofName, err := regexp.Compile(name)
	if err != nil {
		return err
	}
	c, err := connect(given)
	if err != nil {
		return err
	}
	listed, err := c.containers(&cri.ContainerFilter{PodSandboxId: pod})
	if err != nil {
		return err
	}
	return table(quiet, "CONTAINER\tSTATE\tNAME\tATTEMPT\tPOD ID", func(row func(string, string)) {
		for _, one := range listed {
			if !all && one.State != cri.ContainerState_CONTAINER_RUNNING || !ofName.MatchString(one.Metadata.Name) {
				continue
			}
			short := strings.ToLower(strings.TrimPrefix(one.State.String(), "CONTAINER_"))
			row(one.Id, fmt.Sprintf("%s\t%s\t%d\t%s", short, one.Metadata.Name, one.Metadata.Attempt, one.PodSandboxId))
		}
	})
}

func images(given settings, words []string) error {
	var quiet, verbose bool
	options := newOptions()
	options.flag(&quiet, "quiet", "q")
	options.flag(&verbose, "verbose", "v")
	if _, err := options.parse(words, true); err != nil {
		return err
	}
	c, err := connect(given)
	if err != nil {
		return err
	}
	ctx, done := c.with(0)
	defer done()
	listed, err := c.image.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return err
	}
	if verbose {
		for _, image := range listed.Images {
			fmt.Printf("ID: %s\n", image.Id)
			for _, tag := range image.RepoTags {
				fmt.Printf("RepoTags: %s\n", tag)
			}
			for _, digest := range image.RepoDigests {
				fmt.Printf("RepoDigests: %s\n", digest)
			}
			fmt.Printf("Size: %d\n\n", image.Size)
		}
		return nil
	}
	return table(quiet, "IMAGE ID\tSIZE\tTAGS", func(row func(string, string)) {
		for _, image := range listed.Images {
			row(image.Id, fmt.Sprintf("%d\t%s", image.Size, strings.Join(image.RepoTags, ",")))
		}
	})
}

func pull(given settings, words []string) error {
	rest, err := newOptions().parse(words, true)
	if err != nil {
		return err
	}
	c, err := connect(given)
	if err != nil {
		return err
	}
	return each(rest, func(name string) error {
		ctx, done := c.with(10 * time.Minute)
		defer done()
		pulled, err := c.image.PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: name}})
		if err == nil {
			fmt.Printf("Image is up to date for %s\n", pulled.ImageRef)
		}
		return err
	})
}

func stopPods(given settings, words []string) error {
	rest, err := newOptions().parse(words, true)
	if err != nil {
		return err
	}
	c, err := connect(given)
	if err != nil {
		return err
	}
	return each(rest, func(id string) error {
		if err := c.stopPod(id); err != nil {
			return err
		}
		fmt.Printf("Stopped sandbox %s\n", id)
		return nil
	})
}

func removePods(given settings, words []string) error {
	c, rest, force, all, err := removal(given, words)
	if err != nil {
		return err
	}
	ctx, done := c.with(0)
	defer done()
	listed, err := c.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	if all {
		for _, pod := range listed.Items {
			rest = append(rest, pod.Id)
		}
	}
	return each(rest, func(id string) error {
		for _, pod := range listed.Items {
			if strings.HasPrefix(pod.Id, id) && pod.State == cri.PodSandboxState_SANDBOX_READY {
				if !force {
					return fmt.Errorf("the pod %s is running: stop it first, or say -f", id)
				}
				if err := c.stopPod(id); err != nil {
					return err
				}
			}
		}
		ctx, done := c.with(0)
		defer done()
		_, err := c.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id})
		if err == nil {
			fmt.Printf("Removed sandbox %s\n", id)
		}
		return err
	})
}

func stopContainers(given settings, words []string) error {
	var grace time.Duration
	options := newOptions()
	options.duration(&grace, "timeout", "t")
	rest, err := options.parse(words, true)
	if err != nil {
		return err
	}
	c, err := connect(given)
	if err != nil {
		return err
	}
	return each(rest, func(id string) error {
		if err := c.stopContainer(id, grace); err != nil {
			return err
		}
		fmt.Println(id)
		return nil
	})
}

func removeContainers(given settings, words []string) error {
	c, rest, force, all, err := removal(given, words)
	if err != nil {
		return err
	}
	listed, err := c.containers(nil)
	if err != nil {
		return err
	}
	if all {
		for _, one := range listed {
			rest = append(rest, one.Id)
		}
	}
	return each(rest, func(id string) error {
		for _, one := range listed {
			if strings.HasPrefix(one.Id, id) && one.State == cri.ContainerState_CONTAINER_RUNNING {
				if !force {
					return fmt.Errorf("the container %s is running: stop it first, or say -f", id)
				}
				if err := c.stopContainer(id, 0); err != nil {
					return err
				}
			}
		}
		ctx, done := c.with(0)
		defer done()
		_, err := c.runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: id})
		if err == nil {
			fmt.Println(id)
		}
		return err
	})
}

func removal(given settings, words []string) (c *client, rest []string, force, all bool, err error) {
	options := newOptions()
	options.flag(&force, "force", "f")
	options.flag(&all, "all", "a")
	if rest, err = options.parse(words, true); err != nil {
		return
	}
	if !all && len(rest) == 0 {
		err = errors.New("what is to be removed? name it, or say -a")
		return
	}
	c, err = connect(given)
	return
}

func (c *client) containers(filter *cri.ContainerFilter) ([]*cri.Container, error) {
	ctx, done := c.with(0)
	defer done()
	listed, err := c.runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: filter})
	return listed.GetContainers(), err
}

func (c *client) stopPod(id string) error {
	// The runtime gives each container of the pod its own time to end.
	ctx, done := c.with(30 * time.Second)
	defer done()
	_, err := c.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id})
	return err
}

func (c *client) stopContainer(id string, grace time.Duration) error {
	ctx, done := c.with(grace)
	defer done()
	_, err := c.runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: int64(grace.Seconds())})
	return err
}

// Each does something to every one, and fails when one of them failed.
func each(all []string, do func(string) error) error {
	var failed []error
	for _, one := range all {
		if err := do(one); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", one, err))
		}
	}
	return errors.Join(failed...)
}

// Table prints ids alone, or a table of which they are the first column.
func table(quiet bool, heading string, rows func(row func(id, more string))) error {
	writer := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if !quiet {
		fmt.Fprintln(writer, heading)
	}
	rows(func(id, more string) {
		if quiet {
			fmt.Fprintln(writer, id)
			return
		}
		fmt.Fprintf(writer, "%.13s\t%s\n", strings.TrimPrefix(id, "sha256:"), more)
	})
	return writer.Flush()
}
