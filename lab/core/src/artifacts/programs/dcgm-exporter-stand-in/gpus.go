package main

import (
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// What the driver says of a GPU. A value that it does not know is not in the map.
type gpu struct {
	index, minor      int
	uuid, model, slot string
	values            map[string]float64
}

func readGPUs(faults *faults) ([]gpu, error) {
	count, result := nvml.DeviceGetCount()
	if result != nvml.SUCCESS {
		return nil, fmt.Errorf("the driver does not count its GPUs: %s", nvml.ErrorString(result))
	}
	var gpus []gpu
	for index := 0; index < count; index++ {
		device, result := nvml.DeviceGetHandleByIndex(index)
		if result != nvml.SUCCESS {
			return nil, fmt.Errorf("the driver does not open GPU %d: %s", index, nvml.ErrorString(result))
		}
		one := gpu{index: index, values: map[string]float64{}}
		if one.uuid, result = device.GetUUID(); result != nvml.SUCCESS {
			return nil, fmt.Errorf("GPU %d has no UUID: %s", index, nvml.ErrorString(result))
		}
		one.model, _ = device.GetName()
		one.minor, _ = device.GetMinorNumber()
		if pci, result := device.GetPciInfo(); result == nvml.SUCCESS {
			one.slot = words(pci.BusId[:])
		}
		if memory, result := device.GetMemoryInfo(); result == nvml.SUCCESS {
			one.values["DCGM_FI_DEV_FB_USED"] = float64(memory.Used >> 20)
			one.values["DCGM_FI_DEV_FB_FREE"] = float64(memory.Free >> 20)
		}
		if degrees, result := device.GetTemperature(nvml.TEMPERATURE_GPU); result == nvml.SUCCESS {
			one.values["DCGM_FI_DEV_GPU_TEMP"] = float64(degrees)
		}
		if milliwatts, result := device.GetPowerUsage(); result == nvml.SUCCESS {
			one.values["DCGM_FI_DEV_POWER_USAGE"] = float64(milliwatts) / 1000
		}
		if rates, result := device.GetUtilizationRates(); result == nvml.SUCCESS {
			one.values["DCGM_FI_DEV_GPU_UTIL"] = float64(rates.Gpu)
		}
		one.values["DCGM_FI_DEV_XID_ERRORS"] = float64(faults.of(one.uuid))
		gpus = append(gpus, one)
	}
	return gpus, nil
}

// A text of C: it ends at the first zero.
func words[T int8 | uint8](text []T) string {
	var bytes []byte
	for _, one := range text {
		if one == 0 {
			break
		}
		bytes = append(bytes, byte(one))
	}
	return string(bytes)
}

// The last XID of each GPU, by its UUID.
type faults struct {
	lock sync.Mutex
	last map[string]uint64
}

func newFaults() *faults {
	return &faults{last: map[string]uint64{}}
}

func (f *faults) of(uuid string) uint64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.last[uuid]
}

// Takes in what the driver reports, as long as the program runs.
func (f *faults) watch() {
	set, result := nvml.EventSetCreate()
	if result != nvml.SUCCESS {
		log.Printf("the driver reports no faults: %s", nvml.ErrorString(result))
		return
	}
	count, _ := nvml.DeviceGetCount()
	for index := 0; index < count; index++ {
		if device, result := nvml.DeviceGetHandleByIndex(index); result == nvml.SUCCESS {
			if result = device.RegisterEvents(nvml.EventTypeXidCriticalError, set); result != nvml.SUCCESS {
				log.Printf("the driver reports no faults of GPU %d: %s", index, nvml.ErrorString(result))
			}
		}
	}
	for {
		event, result := set.Wait(5000)
		switch result {
		case nvml.SUCCESS:
			uuid, result := event.Device.GetUUID()
			if result == nvml.SUCCESS && event.EventType == nvml.EventTypeXidCriticalError {
				f.lock.Lock()
				f.last[uuid] = event.EventData
				f.lock.Unlock()
			}
		case nvml.ERROR_TIMEOUT:
		default:
			// It may be that a GPU is gone.
			time.Sleep(time.Second)
		}
	}
}
