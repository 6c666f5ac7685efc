//! NVML as any program loads it: `libnvidia-ml.so.1` by the loader, its functions by name.
#![expect(unsafe_code, reason = "the library and its functions are found through C")]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr;

unsafe extern "C" {
    /// dlopen(3).
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    /// dlsym(3).
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    /// dlerror(3).
    fn dlerror() -> *mut c_char;
}

/// `RTLD_NOW` of glibc: every symbol is there, or none.
const NOW: c_int = 2;
const LIBRARY: &CStr = c"libnvidia-ml.so.1";
/// As long as NVML's longest text.
const TEXT: usize = 96;

/// The library, for as long as the program runs.
pub struct Nvml {
    library: *mut c_void,
}

/// What NVML said instead of an answer.
pub struct Failure {
    /// NVML's number.
    pub code: c_int,
    /// NVML's words.
    pub text: String,
}

/// The driver.
pub struct System {
    /// Its version.
    pub driver: String,
    /// The version of CUDA, `13.0`.
    pub cuda: String,
}

/// One GPU. What it does not answer is `Err`, with NVML's words.
pub struct Gpu {
    /// Its place.
    pub index: u32,
    /// Its product.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Of its PCI function.
    pub address: String,
    /// Total, used and free, in bytes.
    pub memory: [u64; 3],
    /// CUDA compute capability, `8.6`.
    pub compute: String,
    /// In degrees Celsius.
    pub temperature: Result<u32, Failure>,
    /// In milliwatts.
    pub power: Result<u32, Failure>,
    /// In milliwatts.
    pub power_limit: Result<u32, Failure>,
    /// Of the GPU and of its memory, in percent.
    pub utilization: Result<[u32; 2], Failure>,
    /// Errors of two bits.
    pub ecc_errors: Result<u64, Failure>,
}

type Device = *mut c_void;

impl Nvml {
    /// Loads it.
    ///
    /// # Errors
    /// The loader's own words.
    pub fn load() -> Result<Self, String> {
        // SAFETY: the name is ended by a zero byte. The library's beginnings run; it is the one that people ask for.
        let library = unsafe { dlopen(LIBRARY.as_ptr(), NOW) };
        if library.is_null() {
            // SAFETY: dlerror returns null, or a text that is ended by a zero byte and lives until the next call.
            let why =
                unsafe { dlerror().as_ref().map(|text| CStr::from_ptr(text).to_string_lossy().into_owned()) };
            return Err(why.unwrap_or_default());
        }
        Ok(Self { library })
    }

    /// The address of a function.
    fn find(&self, name: &str) -> Result<*mut c_void, Failure> {
        let missing = || Failure { code: 13, text: format!("Function Not Found: {name}") };
        let symbol = CString::new(name).map_err(|_| missing())?;
        // SAFETY: the library stays loaded, and the name is ended by a zero byte.
        let found = unsafe { dlsym(self.library, symbol.as_ptr()) };
        if found.is_null() { Err(missing()) } else { Ok(found) }
    }

    fn checked(&self, code: c_int) -> Result<(), Failure> {
        if code == 0 {
            return Ok(());
        }
        let words = self.find("nvmlErrorString")?;
        // SAFETY: the header's signature. It returns a text that lives as long as the library.
        let text = unsafe {
            let words: extern "C" fn(c_int) -> *const c_char = std::mem::transmute(words);
            CStr::from_ptr(words(code))
        };
        Err(Failure { code, text: text.to_string_lossy().into_owned() })
    }

    /// Calls `int name(T *)`.
    fn value<T: Default>(&self, name: &str) -> Result<T, Failure> {
        let function = self.find(name)?;
        let mut value = T::default();
        // SAFETY: the header's signature for the names below, and `value` lives during the call.
        let code = unsafe {
            let function: extern "C" fn(*mut T) -> c_int = std::mem::transmute(function);
            function(&raw mut value)
        };
        self.checked(code).map(|()| value)
    }

    /// Calls `int name(nvmlDevice_t, T *)`.
    fn of<T: Default>(&self, device: Device, name: &str) -> Result<T, Failure> {
        let function = self.find(name)?;
        let mut value = T::default();
        // SAFETY: the header's signature for the names below, and `value` lives during the call.
        let code = unsafe {
            let function: extern "C" fn(Device, *mut T) -> c_int = std::mem::transmute(function);
            function(device, &raw mut value)
        };
        self.checked(code).map(|()| value)
    }

    /// Calls `int name([nvmlDevice_t,] char *, unsigned)`.
    fn text(&self, device: Option<Device>, name: &str) -> Result<String, Failure> {
        let function = self.find(name)?;
        let mut bytes = [0u8; TEXT];
        let (start, length) = (bytes.as_mut_ptr().cast::<c_char>(), TEXT as c_uint);
        // SAFETY: the header's two signatures for the names below; the buffer has the length given with it.
        let code = unsafe {
            match device {
                Some(device) => {
                    let function: extern "C" fn(Device, *mut c_char, c_uint) -> c_int =
                        std::mem::transmute(function);
                    function(device, start, length)
                }
                None => {
                    let function: extern "C" fn(*mut c_char, c_uint) -> c_int = std::mem::transmute(function);
                    function(start, length)
                }
            }
        };
        self.checked(code)?;
        Ok(CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned())
    }

    /// The driver.
    ///
    /// # Errors
    /// What NVML says.
    pub fn system(&self) -> Result<System, Failure> {
        let version: c_int = self.value("nvmlSystemGetCudaDriverVersion_v2")?;
        let driver = self.text(None, "nvmlSystemGetDriverVersion")?;
        Ok(System { driver, cuda: format!("{}.{}", version / 1000, version % 1000 / 10) })
    }

    /// Begins, and gives every GPU that this process sees.
    ///
    /// # Errors
    /// What NVML says.
    pub fn gpus(&self) -> Result<Vec<Gpu>, Failure> {
        let begin = self.find("nvmlInit_v2")?;
        // SAFETY: the header's signature.
        self.checked(unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> c_int>(begin)() })?;
        let count: c_uint = self.value("nvmlDeviceGetCount_v2")?;
        (0..count).map(|index| self.gpu(index)).collect()
    }

    fn gpu(&self, index: c_uint) -> Result<Gpu, Failure> {
        let by_index = self.find("nvmlDeviceGetHandleByIndex_v2")?;
        let mut device: Device = ptr::null_mut();
        // SAFETY: the header's signature, and `device` lives during the call.
        let code = unsafe {
            let by_index: extern "C" fn(c_uint, *mut Device) -> c_int = std::mem::transmute(by_index);
            by_index(index, &raw mut device)
        };
        self.checked(code)?;
        let [total, free, used]: [c_ulonglong; 3] = self.of(device, "nvmlDeviceGetMemoryInfo")?;
        Ok(Gpu {
            index,
            name: self.text(Some(device), "nvmlDeviceGetName")?,
            uuid: self.text(Some(device), "nvmlDeviceGetUUID")?,
            address: self.address(device)?,
            memory: [total, used, free],
            compute: self.compute(device)?,
            temperature: self.temperature(device),
            power: self.of(device, "nvmlDeviceGetPowerUsage"),
            power_limit: self.of(device, "nvmlDeviceGetEnforcedPowerLimit"),
            utilization: self.of(device, "nvmlDeviceGetUtilizationRates"),
            ecc_errors: self.ecc_errors(device),
        })
    }

    fn address(&self, device: Device) -> Result<String, Failure> {
        // `nvmlPciInfo_t`: sixteen bytes, five numbers, and the address in 32 bytes.
        let info: [[u32; 1]; 17] = self.of(device, "nvmlDeviceGetPciInfo_v3")?;
        let bytes: Vec<u8> = info[9..].iter().flat_map(|[word]| word.to_ne_bytes()).collect();
        Ok(CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned())
    }

    fn compute(&self, device: Device) -> Result<String, Failure> {
        let function = self.find("nvmlDeviceGetCudaComputeCapability")?;
        let (mut major, mut minor): (c_int, c_int) = (0, 0);
        // SAFETY: the header's signature, and both numbers live during the call.
        let code = unsafe {
            let function: extern "C" fn(Device, *mut c_int, *mut c_int) -> c_int =
                std::mem::transmute(function);
            function(device, &raw mut major, &raw mut minor)
        };
        self.checked(code).map(|()| format!("{major}.{minor}"))
    }

    fn temperature(&self, device: Device) -> Result<u32, Failure> {
        let function = self.find("nvmlDeviceGetTemperature")?;
        let mut degrees: c_uint = 0;
        // SAFETY: the header's signature; 0 is the GPU's own sensor.
        let code = unsafe {
            let function: extern "C" fn(Device, c_int, *mut c_uint) -> c_int = std::mem::transmute(function);
            function(device, 0, &raw mut degrees)
        };
        self.checked(code).map(|()| degrees)
    }

    fn ecc_errors(&self, device: Device) -> Result<u64, Failure> {
        let function = self.find("nvmlDeviceGetTotalEccErrors")?;
        let mut errors: c_ulonglong = 0;
        // SAFETY: the header's signature; 1 and 0 ask for uncorrected errors since the driver was loaded.
        let code = unsafe {
            let function: extern "C" fn(Device, c_int, c_int, *mut c_ulonglong) -> c_int =
                std::mem::transmute(function);
            function(device, 1, 0, &raw mut errors)
        };
        self.checked(code).map(|()| errors)
    }
}
