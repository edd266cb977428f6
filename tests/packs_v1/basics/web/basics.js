console.log("basics")
