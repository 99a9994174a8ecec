//! This build is the proof's, with the features that its trials need.

fn main() {
    println!("cargo::rustc-cfg=runjournal_proof");
    println!("cargo::rustc-check-cfg=cfg(feature, values(\"cli\", \"insta\"))");
    for feature in ["sqlite", "testing"] {
        println!("cargo::rustc-check-cfg=cfg(feature, values(\"{feature}\"))");
        println!("cargo::rustc-cfg=feature=\"{feature}\"");
    }
}
