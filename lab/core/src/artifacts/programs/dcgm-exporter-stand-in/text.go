package main

import (
	"fmt"
	"strings"
)

// The metrics, in the order in which they are served. Names, units and help are the exporter's own.
var metrics = []struct{ name, help string }{
	{"DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C)."},
	{"DCGM_FI_DEV_POWER_USAGE", "Power draw (in W)."},
	{"DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %)."},
	{"DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered."},
	{"DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB)."},
	{"DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB)."},
}

// What a label's value may not hold as it is.
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// The metrics in the text format of Prometheus: a line for each user of a GPU, or one without a user.
func text(gpus []gpu, users map[string][]user, node string) string {
	var out strings.Builder
	out.WriteString("# HELP gpu_stand_in_info These metrics come from a stand-in for dcgm-exporter, not from DCGM.\n")
	out.WriteString("# TYPE gpu_stand_in_info gauge\ngpu_stand_in_info 1\n")
	for _, metric := range metrics {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s gauge\n", metric.name, metric.help, metric.name)
		for _, gpu := range gpus {
			value, known := gpu.values[metric.name]
			if !known {
				continue
			}
			labels := fmt.Sprintf(`gpu="%d",UUID="%s",pci_bus_id="%s",device="nvidia%d",modelName="%s",Hostname="%s"`,
				gpu.index, quoted.Replace(gpu.uuid), quoted.Replace(gpu.slot), gpu.minor, quoted.Replace(gpu.model),
				quoted.Replace(node))
			if len(users[gpu.uuid]) == 0 {
				fmt.Fprintf(&out, "%s{%s} %g\n", metric.name, labels, value)
			}
			for _, user := range users[gpu.uuid] {
				fmt.Fprintf(&out, "%s{%s,container=\"%s\",namespace=\"%s\",pod=\"%s\"} %g\n", metric.name, labels,
					quoted.Replace(user.container), quoted.Replace(user.namespace), quoted.Replace(user.pod), value)
			}
		}
	}
	return out.String()
}
